package relational

import (
	"regexp"
	"strings"
)

// Dialect is how a database says what the statements leave open, as macros:
//
//	{p}          the prefix
//	{now}        the time, the same all over a statement
//	{at X}       the time that is X milliseconds after 1970
//	{in X}       the time that is X milliseconds ahead; {ago X} behind
//	{ms X}       a time as milliseconds after 1970; {nowms} this one; {until X} from now
//	{ints X}     the numbers of a JSON array; {texts X} the strings
//	{blob X}     bytes
//	{skip}       passes rows by that others have locked; {lock} waits for them
//	{try X}      whether no other transaction that is under way has tried the text X
//
// Parameters are $1, $2 and so on.
type Dialect struct {
	name   string
	macros map[string]string // # is X
	param  string            // what parameters begin with
	// lock is what a migration begins with, so that others wait for it, and see what it has done.
	lock []string
}

// Postgres is PostgreSQL.
var Postgres = &Dialect{
	name:  "postgres",
	param: "$",
	macros: map[string]string{
		"now":   "statement_timestamp()",
		"at":    "to_timestamp(#::bigint / 1000.0)",
		"in":    "statement_timestamp() + #::bigint * interval '1 millisecond'",
		"ago":   "statement_timestamp() - #::bigint * interval '1 millisecond'",
		"ms":    "(extract(epoch from #) * 1000)::bigint",
		"nowms": "(extract(epoch from statement_timestamp()) * 1000)::bigint",
		"until": "(extract(epoch from # - statement_timestamp()) * 1000)::bigint",
		"ints":  "(select value::bigint from jsonb_array_elements_text(#::text::jsonb))",
		"texts": "(select value from jsonb_array_elements_text(#::text::jsonb))",
		"skip":  "for update skip locked",
		"lock":  "for update",
		"try":   "pg_try_advisory_xact_lock(hashtextextended(#, 0))",
		"blob":  "cast(# as bytea)",
	},
	lock: []string{"set transaction isolation level read committed", // others see from before the lock
		"select pg_advisory_xact_lock(hashtext('{p}schema_version'))"},
}

// SQLite is SQLite from 3.42 on. Times are milliseconds.
var SQLite = &Dialect{
	name:  "sqlite",
	param: "?",
	macros: map[string]string{
		"now":   "cast(unixepoch('subsec') * 1000 as integer)",
		"at":    "#",
		"in":    "cast(unixepoch('subsec') * 1000 as integer) + #",
		"ago":   "cast(unixepoch('subsec') * 1000 as integer) - #",
		"ms":    "#",
		"nowms": "cast(unixepoch('subsec') * 1000 as integer)",
		"until": "# - cast(unixepoch('subsec') * 1000 as integer)",
		"ints":  "(select value from json_each(#))",
		"texts": "(select value from json_each(#))",
		"skip":  "",
		"lock":  "",
		"try":   "true",
		"blob":  "#",
	},
	lock: []string{"update {p}schema_version set version = version where false"},
}

var macro = regexp.MustCompile(`\{(\w+)(?: ([^}]*))?\}`)

func (d *Dialect) render(text, prefix string) string {
	text = macro.ReplaceAllStringFunc(text, func(m string) string {
		part := macro.FindStringSubmatch(m)
		if part[1] == "p" {
			return prefix
		}
		return strings.ReplaceAll(d.macros[part[1]], "#", part[2])
	})
	return strings.ReplaceAll(text, "$", d.param)
}
