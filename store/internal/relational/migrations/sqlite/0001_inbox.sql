create table {p}inbox (
  group_name text not null,
  id text not null,                                  -- source and id of the event
  handled integer not null default ({now}),          -- milliseconds after 1970
  primary key (group_name, id)
) without rowid;
create index {p}inbox_handled on {p}inbox (handled);
create table {p}inbox_position (
  group_name text not null,
  lane text not null,
  position integer not null,                         -- the last offset that is handled
  primary key (group_name, lane)
) without rowid;
