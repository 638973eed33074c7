package main

import (
	"strings"
	"testing"

	"github.com/tidings-io/tidings/console"
)

func TestManyOrLargeRecordsGoInSeveralRequests(t *testing.T) {
	large, small := strings.Repeat("x", pubBytes*2/3), "y"
	recs := []console.NewRecord{{Value: &large}, {Value: &large}, {Value: &small}, {Value: &large}}
	for range pubRecords + 1 {
		recs = append(recs, console.NewRecord{Value: &small})
	}
	var got []int
	total := 0
	for _, r := range requests(recs) {
		got = append(got, len(r))
		total += len(r)
	}
	if total != len(recs) || len(got) != 4 || got[0] != 1 || got[1] != 2 {
		t.Errorf("got requests of %v records, %d in all, want 1, 2 and the rest of %d", got,
			total, len(recs))
	}
	for _, n := range got {
		if n > pubRecords {
			t.Errorf("a request of %d records, the limit is %d", n, pubRecords)
		}
	}
}

func TestInputIsReadLineByLine(t *testing.T) {
	long := strings.Repeat("z", 200_000)
	for _, c := range []struct {
		flags pubFlags
		in    string
		want  string
	}{
		{pubFlags{input: "lines", partition: -1}, "a\n\nb", "a||b"},
		{pubFlags{input: "lines", partition: -1}, "a\r\nb\r\n", "a|b"},
		{pubFlags{input: "lines", partition: -1}, long + "\nb\n", long + "|b"},
		{pubFlags{input: "one", partition: -1}, "a\nb\n", "a\nb\n"},
		{pubFlags{input: "lines", partition: -1}, "", ""},
		{pubFlags{input: "jsonl", partition: -1}, `{"value":"v"}` + "\n", "v"},
	} {
		var got []string
		err := c.flags.chunks(t.Context(), strings.NewReader(c.in),
			func(recs []console.NewRecord) error {
				for _, r := range recs {
					got = append(got, *r.Value)
				}
				return nil
			})
		if text := strings.Join(got, "|"); err != nil || text != c.want {
			t.Errorf("%.20q: got %.40q, %v, want %.40q", c.in, text, err, c.want)
		}
	}
}

func TestLineBeyondTheLimitIsRefusedWithItsNumber(t *testing.T) {
	in := "ok\n" + strings.Repeat("x", maxInputRecord+1) + "\n"
	var got []console.NewRecord
	err := pubFlags{input: "lines", partition: -1}.chunks(t.Context(), strings.NewReader(in),
		func(recs []console.NewRecord) error {
			got = append(got, recs...)
			return nil
		})
	if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") || len(got) != 1 {
		t.Errorf("got %v after %d records, want line 2 after 1", err, len(got))
	}
}
