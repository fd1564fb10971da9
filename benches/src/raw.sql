-- The same columns and the same two indexes as the log, without its checks and triggers.
create schema raw;
create table raw.event (like kvali.event including indexes);
