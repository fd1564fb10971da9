//! Read models of the CRM.

pub mod conversion_funnel;
