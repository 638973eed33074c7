create table {p}event (
  position bigint primary key,                       -- from 1, without gaps
  stream text not null,
  version bigint not null,                           -- in the stream, from 1, without gaps
  id text not null,
  type text not null,
  topic text not null,
  event bytea not null,                              -- JSON of CloudEvents
  recorded timestamptz not null default clock_timestamp(),
  unique (stream, version)
);
create table {p}event_head (
  one smallint primary key check (one = 1),
  position bigint not null                           -- of the last event; appends take turns by its lock
);
insert into {p}event_head (one, position) values (1, 0);
create function {p}event_appended() returns trigger language plpgsql as $$ begin perform pg_notify('{p}event', ''); return null; end $$;
create trigger {p}event_appended after insert on {p}event for each statement execute function {p}event_appended();
create table {p}snapshot (
  stream text primary key,
  version bigint not null,
  snapshot bytea not null                            -- JSON
);
create table {p}subject_key (
  id text primary key,
  subject text,                                      -- null: erased
  secret bytea,                                      -- null: erased
  made timestamptz not null default clock_timestamp(),
  check ((subject is null) = (secret is null))
);
create unique index {p}subject_key_subject on {p}subject_key (subject) where subject is not null;
create table {p}projection (
  name text not null,
  version integer not null,
  position bigint not null default 0,                -- of the last event handled
  skipped bigint not null default 0,
  saved timestamptz,
  primary key (name, version)
);
create table {p}projection_active (
  name text primary key,
  version integer not null                           -- that readers use
);
create table {p}projection_skipped (
  name text not null,
  version integer not null,
  position bigint not null,
  stream text not null,
  event text not null,                               -- id
  reason text not null,
  at timestamptz not null,
  primary key (name, version, position)
);
