package storetest

import (
	"testing"
	"time"
)

// call is an attempt from one second to another.
func call(began, ended int, ok bool, expect, version int64) attempt {
	return attempt{began: time.Unix(int64(began), 0), ended: time.Unix(int64(ended), 0), ok: ok,
		expect: expect, size: max(version-expect, 1), version: version}
}

func TestHistoriesOfOneAppendAtATimeAreLinearizable(t *testing.T) {
	for what, history := range map[string][]attempt{
		"nothing":                      nil,
		"one after the other":          {call(1, 2, true, 0, 1), call(3, 4, true, 1, 3)},
		"at once":                      {call(1, 9, true, 1, 2), call(1, 9, true, 0, 1)},
		"a conflict with the loser":    {call(1, 4, true, 0, 1), call(2, 3, false, 0, 1)},
		"a conflict before":            {call(5, 9, true, 0, 1), call(1, 6, false, 1, 0)},
		"a conflict between the two":   {call(1, 9, true, 0, 1), call(1, 9, true, 1, 2), call(4, 5, false, 0, 1)},
		"an append told late":          {call(1, 9, true, 0, 1), call(2, 3, true, 1, 2)},
		"a conflict seen by nobody":    {call(1, 2, false, 3, 0)},
		"several events in one":        {call(1, 2, true, 0, 3), call(3, 4, true, 3, 4)},
		"conflicts with every state":   {call(1, 9, true, 0, 1), call(1, 9, false, 5, 0), call(1, 9, false, 5, 1)},
		"a conflict just at its start": {call(1, 3, true, 0, 1), call(3, 4, false, 0, 1)},
	} {
		if err := linearizable(history); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOtherHistoriesAreNot(t *testing.T) {
	for what, history := range map[string][]attempt{
		"two from one version":             {call(1, 9, true, 0, 1), call(1, 9, true, 0, 2)},
		"a gap":                            {call(1, 2, true, 0, 1), call(3, 4, true, 2, 3)},
		"an append before what it follows": {call(1, 2, true, 1, 2), call(3, 4, true, 0, 1)},
		"a version that never was":         {call(1, 2, true, 0, 2), call(3, 4, false, 0, 1)},
		"a conflict with what it expected": {call(1, 2, true, 0, 1), call(3, 4, false, 1, 1)},
		"a conflict with the future":       {call(5, 6, true, 0, 1), call(1, 2, false, 0, 1)},
		"a conflict with the past":         {call(1, 2, true, 0, 1), call(3, 4, false, 5, 0)},
		"time that goes back": {call(1, 9, true, 0, 1), call(1, 9, true, 1, 2), call(2, 3, false, 0, 2),
			call(4, 5, false, 5, 1)},
		"another size": {{began: time.Unix(1, 0), ended: time.Unix(2, 0), ok: true, expect: 0, size: 2, version: 1}},
	} {
		if err := linearizable(history); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
