package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

func putFacts(t *testing.T, b *Broker, pairs ...string) {
	t.Helper()
	tx := b.Begin()
	for i := 0; i+1 < len(pairs); i += 2 {
		tx.PutFact("s", pairs[i], []byte(pairs[i+1]))
	}
	mustCommit(t, tx)
}

func factsOf(b *Broker, space, prefix string) (all []string) {
	for key, value := range b.Facts(space).All(prefix) {
		all = append(all, fmt.Sprintf("%s=%s", key, value))
	}
	return all
}

func TestFactsAreThereAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	b := openOn(t, fs)
	putFacts(t, b, "b", "1", "a", "", "ab", "2", "b", "3")
	tx := b.Begin()
	tx.PutFact("other", "a", []byte("x"))
	tx.DeleteFact("s", "ab")
	tx.DeleteFact("s", "missing")
	mustCommit(t, tx)
	for range 2 {
		if got := factsOf(b, "s", ""); !slices.Equal(got, []string{"a=", "b=3"}) {
			t.Errorf("facts %q", got)
		}
		if got := factsOf(b, "s", "b"); !slices.Equal(got, []string{"b=3"}) {
			t.Errorf("facts with b %q", got)
		}
		if v, ok := b.Facts("s").Get("a"); len(v) != 0 || !ok {
			t.Errorf("a is %q %t", v, ok)
		}
		if v, ok := b.Facts("s").Get("ab"); ok {
			t.Errorf("ab is %q", v)
		}
		b = openOn(t, fs.Kill())
	}
}

func TestFactsHaveLimits(t *testing.T) {
	b := openOn(t, vfs.NewMem(), func(c *Config) { c.Limits.Facts = 2 })
	attempt := func(change func(tx *Tx)) error {
		tx := b.Begin()
		change(tx)
		c, err := tx.Commit(ctx)
		if err == nil {
			err = c.Wait(ctx)
		}
		return err
	}
	put := func(tx *Tx, key string) { tx.PutFact("s", key, nil) }
	for _, c := range []struct {
		what   string
		change func(tx *Tx)
		want   ErrorKind
	}{
		{"three at once", func(tx *Tx) { put(tx, "a"); put(tx, "b"); put(tx, "c") }, Full},
		{"one twice", func(tx *Tx) { put(tx, "a"); put(tx, "b"); put(tx, "a") }, 0},
		{"one more", func(tx *Tx) { put(tx, "c") }, Full},
		{"another value", func(tx *Tx) { put(tx, "b") }, 0},
		{"one for another", func(tx *Tx) { put(tx, "c"); tx.DeleteFact("s", "a") }, 0},
		{"a long key", func(tx *Tx) { put(tx, strings.Repeat("k", MaxFactKey)) }, TooLarge},
		{"a long value", func(tx *Tx) { tx.PutFact("s", "b", make([]byte, MaxFactValue+1)) }, TooLarge},
		{"long ones together", func(tx *Tx) {
			for range 4 {
				tx.PutFact("s", "b", make([]byte, MaxFactValue))
			}
		}, TooLarge},
	} {
		wantKind(t, c.what, attempt(c.change), c.want)
	}
	if got := factsOf(b, "s", ""); !slices.Equal(got, []string{"b=", "c="}) {
		t.Errorf("facts %q", got)
	}
}

func TestAFactGoesWithAllElseOfATx(t *testing.T) {
	b := openOn(t, vfs.NewMem())
	topic := mustTopic(t, b, TopicSpec{Name: "t"})
	tx := b.Begin()
	tx.PutFact("s", "a", []byte("1"))
	tx.Append(topic.Partition(0), from(t, 1, 0, 0, 1))
	tx.Append(topic.Partition(0), from(t, 1, 0, 3, 1))
	_, err := tx.Commit(ctx)
	wantKind(t, "commit", err, OutOfOrder)
	if got := factsOf(b, "s", ""); len(got) != 0 {
		t.Errorf("facts %q", got)
	}
}
