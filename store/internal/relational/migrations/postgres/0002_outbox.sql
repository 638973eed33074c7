create table {p}outbox (
  seq bigint generated always as identity primary key,
  id text not null,
  source text not null,
  kind text not null,                                -- event, command or reply
  topic text not null,
  type text not null,
  key text not null,
  event bytea not null,                              -- JSON of CloudEvents
  since timestamptz not null default clock_timestamp(), -- inserted, or the time to publish at
  ready timestamptz,                                 -- not before; null for at once
  attempts integer not null default 0,
  error text not null default '',
  state smallint not null default 0,                 -- 0 waiting, 1 published, 2 parked
  ended timestamptz,                                 -- published or parked
  unique (id, source)
);
create index {p}outbox_now on {p}outbox (seq) where state = 0 and ready is null;
create index {p}outbox_later on {p}outbox (ready) where state = 0 and ready is not null;
create index {p}outbox_failed on {p}outbox (topic, key, seq) where state = 0 and attempts > 0;
create index {p}outbox_published on {p}outbox (ended) where state = 1;
create index {p}outbox_parked on {p}outbox (seq) where state = 2;
create table {p}lease (
  name text primary key,
  holder text not null,
  until timestamptz not null
);
