package tidings

import (
	"io"
	"log/slog"
	"reflect"
	"slices"
	"testing"
)

// counting is an observer that notes every call under a name.
func counting(name string, calls *[]string) (o Observer) {
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		field := v.Field(i)
		field.Set(reflect.MakeFunc(field.Type(), func([]reflect.Value) []reflect.Value {
			*calls = append(*calls, name)
			return nil
		}))
	}
	return o
}

// Each observer is told of everything, in the order of the options, whatever others there are.
func TestObserversAreToldOneAfterTheOther(t *testing.T) {
	var calls []string
	one, two := counting("one", &calls), counting("two", &calls)
	for _, test := range []struct {
		options []Observer
		want    []string
	}{
		{[]Observer{one, two}, []string{"one", "two"}},
		{[]Observer{one, {}}, []string{"one"}},
		{[]Observer{{}, two}, []string{"two"}},
	} {
		s := &Service{}
		for _, o := range test.options {
			WithObserver(o)(s)
		}
		v := reflect.ValueOf(s.observer)
		for i := range v.NumField() {
			calls = nil
			field := v.Field(i)
			args := make([]reflect.Value, field.Type().NumIn())
			for n := range args {
				args[n] = reflect.Zero(field.Type().In(n))
			}
			field.Call(args)
			if !slices.Equal(calls, test.want) {
				t.Errorf("%s\ngot  %v\nwant %v", v.Type().Field(i).Name, calls, test.want)
			}
		}
	}
}

// What panics in an observer is logged, and takes neither the service nor other observers with it.
func TestAnObserverThatPanicsHasNoEffect(t *testing.T) {
	var calls []string
	s := &Service{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	WithObserver(panicking())(s)
	WithObserver(counting("other", &calls))(s)
	v := reflect.ValueOf(s.observer)
	for i := range v.NumField() {
		field := v.Field(i)
		args := make([]reflect.Value, field.Type().NumIn())
		for n := range args {
			args[n] = reflect.Zero(field.Type().In(n))
		}
		field.Call(args)
	}
	if len(calls) != v.NumField() {
		t.Errorf("the other observer was told %d things, want %d", len(calls), v.NumField())
	}
}

func panicking() (o Observer) {
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value { panic("no such label") }))
	}
	return o
}
