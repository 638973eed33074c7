package measure

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRatiosPairTheServersOfOneRound(t *testing.T) {
	results := []Result{
		{Load: "produce", Server: "a", Round: 1, Rate: 100},
		{Load: "produce", Server: "b", Round: 1, Rate: 50},
		{Load: "produce", Server: "b", Round: 2, Rate: 10},
		{Load: "produce", Server: "a", Round: 2, Rate: 30},
		{Load: "produce", Server: "a", Round: 3, Rate: 80},
		{Load: "produce", Server: "b", Round: 3, Rate: 80},
	}
	got := Compare(results, "a", "b")
	want := []Pair{{
		Load: "produce", Ratios: []float64{2, 3, 1}, Ratio: 2,
		Ours:  Result{Load: "produce", Server: "a", Rate: 80},
		Peers: []Result{{Load: "produce", Server: "b", Rate: 50}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTheRatioIsToTheBestPeerOfTheRound(t *testing.T) {
	for _, c := range []struct {
		name string
		of   func(figure float64) Result
		want []float64 // of 6 to 3 and 2, and of 6 to 1 and 12
	}{
		{"rate", func(f float64) Result { return Result{Rate: f} }, []float64{2, 0.5}},
		{"latency", func(f float64) Result { return Result{Figure: Latency, P50: 1, P99: f} },
			[]float64{3, 6}},
		{"memory", func(f float64) Result { return Result{Figure: Memory, RSS: f} }, []float64{3, 6}},
		{"time", func(f float64) Result { return Result{Figure: Time, Seconds: f} }, []float64{3, 6}},
		{"processor", func(f float64) Result { return Result{Figure: Processor, Busy: f} },
			[]float64{3, 6}},
	} {
		var results []Result
		for _, row := range []struct {
			server string
			figure float64
		}{{"a", 6}, {"b", 3}, {"c", 2}, {"a", 6}, {"b", 1}, {"c", 12}} {
			r := c.of(row.figure)
			r.Server = row.server
			results = append(results, r)
		}
		if got := Compare(results, "a", "b", "c")[0].Ratios; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestALoadThatWeOrAllPeersDidNotMeetIsLeftOut(t *testing.T) {
	results := []Result{{Load: "produce", Server: "a"}, {Load: "consume", Server: "b"}}
	if got := Compare(results, "a", "b", "c"); got != nil {
		t.Errorf("got %+v, want nothing", got)
	}
}

func TestAPeerThatDidNotMeetALoadHasADash(t *testing.T) {
	results := []Result{
		{Load: "wait", Figure: Processor, Server: "a", Busy: 0.5, PeakRSS: 60},
		{Load: "wait", Figure: Processor, Server: "c", Busy: 2, PeakRSS: 200},
		{Load: "idle", Figure: Processor, Server: "a", Busy: 0.5, PeakRSS: 60},
		{Load: "idle", Figure: Processor, Server: "c", Busy: 0, PeakRSS: 200},
	}
	pairs := Compare(results, "a", "b", "c")
	want := []string{
		"| wait | 0.50 % of one | - | 2.00 % of one | 0.25 (0.25 to 0.25) | - | 60 / 200 | - |\n",
		"| idle | 0.50 % of one | - | 0.00 % of one | - | - | 60 / 200 | - |\n",
	}
	for i := range pairs {
		if got := pairs[i].row(); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
	if len(pairs) != len(want) {
		t.Errorf("got %d rows, want %d", len(pairs), len(want))
	}
}

func TestPercentilesAreTimesThatOccurred(t *testing.T) {
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(200-i)*time.Millisecond)
	}
	got := []time.Duration{Percentile(times, 50), Percentile(times, 99), Percentile(nil, 99)}
	want := []time.Duration{100 * time.Millisecond, 198 * time.Millisecond, 0}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMedianOfAnEvenNumberIsBetweenTheTwoInTheMiddle(t *testing.T) {
	got := []float64{Median([]float64{4, 1, 3, 2}), Median([]float64{3, 9, 1}), Median(nil)}
	if want := []float64{2.5, 3, 0}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUsageOfThisProcessIsRead(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		if got := UsageOf(os.Getpid()); got != (Usage{}) {
			t.Errorf("got %+v without /proc, want nothing", got)
		}
		return
	}
	got := UsageOf(os.Getpid())
	if got.RSS < 1<<20 || got.PeakRSS < got.RSS {
		t.Errorf("got %+v, want a resident set and a peak above it", got)
	}
}

func TestUsageIncludesThoseBelow(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc")
	}
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if got := family(os.Getpid()); !slices.Contains(got, child.Process.Pid) {
		t.Errorf("got %v, want %d among them", got, child.Process.Pid)
	}
	in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
}

// The shell says where it listens, and then waits for a child that keeps its output open: the
// output, for whose end Stop waits, only ends if the child does.
func TestStopEndsTheWholeGroup(t *testing.T) {
	s, err := Start(t.Context(), Program{Name: "sh", Path: "/bin/sh", Args: func(Place) []string {
		return []string{"-c", `sleep 600 & echo "  Kafka  here"; wait`}
	}}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr != "here" {
		t.Errorf("got address %q, want here", s.Addr)
	}
	began := time.Now()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= stopTimeout {
		t.Errorf("it took %v and force", took)
	}
}

func TestAServerIsReadyWhenItAnswers(t *testing.T) {
	var asked []string
	s, err := Start(t.Context(), Program{
		Name: "sleep", Path: "sleep", Args: func(Place) []string { return []string{"600"} },
		Answers: func(_ context.Context, addr string) error {
			if asked = append(asked, addr); len(asked) < 3 {
				return errors.New("not yet")
			}
			return nil
		},
	}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if want := []string{s.Addr, s.Addr, s.Addr}; !reflect.DeepEqual(asked, want) || s.Ready <= 0 {
		t.Errorf("asked %v, want %v; ready after %v", asked, want, s.Ready)
	}
}

func TestAServerThatEndsIsNotReady(t *testing.T) {
	_, err := Start(t.Context(), Program{
		Name: "true", Path: "true", Args: func(Place) []string { return nil },
		Answers: func(context.Context, string) error { return errors.New("never") },
	}, t.TempDir())
	if !errors.Is(err, errEnded) {
		t.Errorf("got %v, want %v", err, errEnded)
	}
}

func TestOnlyLeavesTheOthersOut(t *testing.T) {
	all := []Program{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for only, want := range map[string]int{"": 3, "ours": 1, "peer": 2, "c": 1} {
		o := Options{Only: only}
		if got, err := o.chosen(all); err != nil || len(got) != want {
			t.Errorf("-only %q: got %d and %v, want %d", only, len(got), err, want)
		}
	}
	o := Options{Only: "d"}
	if _, err := o.chosen(all); err == nil {
		t.Error("-only of nobody: got no error")
	}
}

func TestTheTableShowsBothSidesAndTheSpreadOfTheRatio(t *testing.T) {
	results := []Result{
		{Load: "produce", Server: "a", Rate: 2e6, Records: 10, Bytes: 1000, PeakRSS: 40},
		{Load: "produce", Server: "b", Rate: 1e6, Records: 10, Bytes: 1000, PeakRSS: 20},
	}
	r := Report{Ours: "a", Peers: []string{"b"}, Rounds: 2, Pairs: Compare(results, "a", "b")}
	var out strings.Builder
	if err := r.WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	want := "| produce | 2.00 M rec/s, 200 MB/s | 1.00 M rec/s, 100 MB/s | " +
		"2.00 (2.00 to 2.00) | - | 40 / 20 | - |\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %s, want it to end in %s", out.String(), want)
	}
}

func TestRatesAreShownWithTwoOrThreeDigits(t *testing.T) {
	for rate, want := range map[float64]string{
		129: "129", 1290: "1.3 k", 12_900: "13 k", 129_000: "129 k", 1_290_000: "1.29 M",
	} {
		if got := Thousands(rate); got != want {
			t.Errorf("%.0f: got %s, want %s", rate, got, want)
		}
	}
}

func TestTheTableHasAColumnForEachPeer(t *testing.T) {
	results := []Result{
		{Load: "wait", Figure: Memory, Server: "a", RSS: 50, PeakRSS: 60},
		{Load: "wait", Figure: Memory, Server: "b", RSS: 500, PeakRSS: 700},
		{Load: "wait", Figure: Memory, Server: "c", RSS: 100, PeakRSS: 200},
		{Load: "start", Figure: Time, Server: "a", Seconds: 0.05},
		{Load: "start", Figure: Time, Server: "b", Seconds: 4},
		{Load: "start", Figure: Time, Server: "c", Seconds: 5},
	}
	r := Report{
		Ours: "a", Peers: []string{"b", "c"}, Rounds: 1, Pairs: Compare(results, "a", "b", "c"),
	}
	var out strings.Builder
	if err := r.WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	want := "| load | a | b | c | ratio | server CPU s per million records | " +
		"server peak RSS MiB | disk bytes per value byte |\n|---|---|---|---|---|---|---|---|\n" +
		"| wait | 50 MiB | 500 MiB | 100 MiB | 0.50 (0.50 to 0.50) | - | 60 / 700 / 200 | - |\n" +
		"| start | 50 ms | 4000 ms | 5000 ms | 0.01 (0.01 to 0.01) | - | - | - |\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %s, want it to end in %s", out.String(), want)
	}
}
