create table {p}inbox (
  group_name text not null,
  id text not null,                                  -- source and id of the event
  handled timestamptz not null default clock_timestamp(),
  primary key (group_name, id)
);
create index {p}inbox_handled on {p}inbox (handled);
create table {p}inbox_position (
  group_name text not null,
  lane text not null,
  position bigint not null,                          -- the last offset that is handled
  primary key (group_name, lane)
);
