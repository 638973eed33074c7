package saga

import (
	"strconv"
	"strings"

	"github.com/tidings-io/tidings"
)

// Extension is the extension attribute that leads answers back to an instance. It names the saga,
// the instance and what the command is for, as "name/id#do:step", "#do.1:step" once it has failed,
// or "#undo:step"; what is published while the command is handled inherits it.
const Extension = tidings.ExtSaga

// purpose is what something that an instance sends is for. The zero value is for nothing known.
type purpose struct {
	step   string
	undo   bool
	failed int // how often commands of this step have failed before
}

func (p purpose) isNone() bool { return p == purpose{} }

// verb is "do", "do.1" and so on, "undo", or "end" for what is sent at the end.
func (p purpose) verb() string {
	switch {
	case p.isNone():
		return "end"
	case p.undo:
		return "undo"
	case p.failed > 0:
		return "do." + strconv.Itoa(p.failed)
	}
	return "do"
}

// id is that of the event: always the same for the same.
func (p purpose) id(rec *Record) string {
	return tidings.DerivedID("saga", rec.Saga, rec.ID, p.verb(), p.step)
}

func (p purpose) text(rec *Record) string {
	return rec.Saga + "/" + rec.ID + "#" + p.verb() + ":" + p.step
}

// parse reads a text that begins with the saga's name. Without a purpose all of it is the id.
func parse(saga, text string) (id string, p purpose, ok bool) {
	text, ok = strings.CutPrefix(text, saga+"/")
	if !ok {
		return "", p, false
	}
	at := strings.LastIndexByte(text, '#')
	if at < 0 {
		return text, p, true
	}
	verb, step, ok := strings.Cut(text[at+1:], ":")
	failed, again := strings.CutPrefix(verb, "do.")
	switch {
	case ok && (verb == "end" || verb == "do"):
		p.step = step
	case ok && verb == "undo":
		p.step, p.undo = step, true
	case ok && again:
		n, err := strconv.Atoi(failed)
		if err != nil {
			return text, p, true
		}
		p.step, p.failed = step, n
	default:
		return text, p, true
	}
	return text[:at], p, true
}
