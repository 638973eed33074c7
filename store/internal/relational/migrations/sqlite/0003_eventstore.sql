create table {p}event (
  position integer primary key,                      -- from 1, without gaps
  stream text not null,
  version integer not null,                          -- in the stream, from 1, without gaps
  id text not null,
  type text not null,
  topic text not null,
  event blob not null,                               -- JSON of CloudEvents
  recorded integer not null default ({now}),         -- milliseconds after 1970, as all times
  unique (stream, version)
);
create table {p}event_head (
  one integer primary key check (one = 1),
  position integer not null                          -- of the last event
);
insert into {p}event_head (one, position) values (1, 0);
create table {p}snapshot (
  stream text primary key,
  version integer not null,
  snapshot blob not null                             -- JSON
) without rowid;
create table {p}subject_key (
  id text primary key,
  subject text,                                      -- null: erased
  secret blob,                                       -- null: erased
  made integer not null default ({now}),
  check ((subject is null) = (secret is null))
);
create unique index {p}subject_key_subject on {p}subject_key (subject) where subject is not null;
create table {p}projection (
  name text not null,
  version integer not null,
  position integer not null default 0,               -- of the last event handled
  skipped integer not null default 0,
  saved integer,
  primary key (name, version)
) without rowid;
create table {p}projection_active (
  name text primary key,
  version integer not null                           -- that readers use
) without rowid;
create table {p}projection_skipped (
  name text not null,
  version integer not null,
  position integer not null,
  stream text not null,
  event text not null,                               -- id
  reason text not null,
  at integer not null,
  primary key (name, version, position)
) without rowid;
