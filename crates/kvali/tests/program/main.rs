//! The program itself, run as a person runs it, against a private Postgres of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod audit;
mod candidates;
mod config;
mod data;
mod deals;
mod demo;
mod demo_served;
mod duplicates;
mod exports;
mod failures;
mod forms;
mod forms_people;
mod forms_repeated;
mod forms_words;
mod funnels;
mod history;
mod interruption;
mod log;
mod order;
mod overdue;
mod pg;
mod records;
mod reference;
mod revert;
mod seeing;
mod serve;
mod serve_logs;
mod serving;
mod shipped_maps;
mod sql;
mod stages;
mod support;
mod tenant;
mod workbook;
mod workers;
