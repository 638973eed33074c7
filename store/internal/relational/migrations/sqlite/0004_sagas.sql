create table {p}saga (
  saga text not null,
  id text not null,
  version integer not null,                          -- of the definition
  status text not null,
  step text not null,
  updated integer not null,                          -- microseconds after 1970
  record text not null,                              -- all of it
  primary key (saga, id)
);
create index {p}saga_updated on {p}saga (updated, saga, id);
create index {p}saga_status on {p}saga (status, updated);
