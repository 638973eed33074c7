package broker

import (
	"reflect"
	"strings"
	"testing"
)

func TestTopicNames(t *testing.T) {
	for _, good := range []string{"a", "orders", "A.b_c-9", "...", "__x", strings.Repeat("n", 249)} {
		if err := checkTopicName(good); err != nil {
			t.Errorf("%q: %v, want no error", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a b", "a/b", "ä", "a\x00", "a\xff",
		strings.Repeat("n", 250)} {
		if err := checkTopicName(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestGroupNames(t *testing.T) {
	for _, good := range []string{"g", "gruppe ä/1", "."} {
		if err := checkGroupName(good); err != nil {
			t.Errorf("%q: %v, want no error", good, err)
		}
	}
	for _, bad := range []string{"", "\xff", strings.Repeat("g", 256)} {
		if err := checkGroupName(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestLimitsHaveDefaults(t *testing.T) {
	got, err := Limits{Topics: 5}.withDefaults()
	want := defaultLimits
	want.Topics = 5
	if err != nil || got != want {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
}

// TestEveryLimitIsChecked fails when a field is added to Limits but not to
// withDefaults.
func TestEveryLimitIsChecked(t *testing.T) {
	for i := range reflect.TypeFor[Limits]().NumField() {
		var l Limits
		reflect.ValueOf(&l).Elem().Field(i).SetInt(-1)
		if _, err := l.withDefaults(); err == nil {
			t.Errorf("%s: -1 is accepted", reflect.TypeFor[Limits]().Field(i).Name)
		}
		if reflect.ValueOf(defaultLimits).Field(i).Int() == 0 {
			t.Errorf("%s has no default", reflect.TypeFor[Limits]().Field(i).Name)
		}
	}
}
