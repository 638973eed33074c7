package measure

import (
	"os"
	"reflect"
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
		Ours: Result{Load: "produce", Server: "a", Rate: 80},
		Peer: Result{Load: "produce", Server: "b", Rate: 50},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLoadsWithoutARateAreComparedByTheirSlowest(t *testing.T) {
	results := []Result{
		{Load: "publish", Server: "a", P50: 1, P99: 3}, {Load: "publish", Server: "b", P50: 1, P99: 6},
	}
	got := Compare(results, "a", "b")[0]
	if got.Ratio != 0.5 || !got.IsLatency {
		t.Errorf("got ratio %v, latency %v, want 0.5, true", got.Ratio, got.IsLatency)
	}
}

func TestALoadThatOnlyOneServerMetIsLeftOut(t *testing.T) {
	if got := Compare([]Result{{Load: "produce", Server: "a"}}, "a", "b"); got != nil {
		t.Errorf("got %+v, want nothing", got)
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

func TestTheTableShowsBothSidesAndTheSpreadOfTheRatio(t *testing.T) {
	r := Report{Command: "go run ./kafka", Ours: "a", Peer: "b", Rounds: 2, Pairs: Compare([]Result{
		{Load: "produce", Server: "a", Rate: 2e6, Records: 10, Bytes: 1000, PeakRSS: 40},
		{Load: "produce", Server: "b", Rate: 1e6, Records: 10, Bytes: 1000, PeakRSS: 20},
	}, "a", "b")}
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
