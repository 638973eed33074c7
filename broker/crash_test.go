package broker

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// modelSeeds is how many histories TestBrokerIsItsModel plays;
// TIDINGS_MODEL_SEEDS="first count" plays others.
const modelSeeds = 40

// TestBrokerIsItsModel plays random histories of all that a broker does, cuts the
// power at a random moment, opens what the disk kept, and goes on, several times.
//
// Every answer must be the model's. After a power cut the broker must be what the
// model was after some number of its actions: at least those that were confirmed,
// at most those that were begun, in their order, none in part.
func TestBrokerIsItsModel(t *testing.T) {
	for seed := range seeds(t, "TIDINGS_MODEL_SEEDS", modelSeeds) {
		playHistory(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func playHistory(t *testing.T, seed uint64) {
	d := &die{Rand: rand.New(rand.NewPCG(seed, 7))}
	fs := vfs.NewMem()
	b := openOn(t, fs)
	mustStreams(t, b)
	var history []action
	for range 4 {
		if d.IntN(4) > 0 {
			fs.CutAfter(1 + d.IntN(60))
		}
		begun, confirmed := play(t, d, b, history)
		b.Close()
		fs = fs.Crash(d.Rand)
		if b = openOn(t, fs); t.Failed() {
			return
		}
		history = survived(t, b, begun, confirmed)
		if t.Failed() {
			t.Logf("history: %s", texts(begun))
			return
		}
	}
	b.Close()
}

// play goes on from a history until the disk fails or there have been enough
// actions. It returns the actions begun, and how many of them are confirmed.
func play(t *testing.T, d *die, b *Broker, history []action) (begun []action, confirmed int) {
	m := replay(history)
	begun = history
	confirms := make([]Confirm, len(history))
	for range 30 + d.IntN(40) {
		a := d.roll(m)
		begun = append(begun, a)
		got, confirm := a.real(b)
		if b.store.Err() != nil {
			break
		}
		confirms = append(confirms, confirm)
		if want := a.on(m); got != want {
			t.Errorf("%s: got %s, want %s", a.text, got, want)
			break
		}
	}
	for confirmed < len(confirms) && confirms[confirmed].Done() {
		confirmed++
	}
	return begun, confirmed
}

func replay(history []action) *model {
	m := newModel()
	for _, a := range history {
		a.on(m)
	}
	return m
}

// survived finds how much of a history a broker has, and returns that much.
func survived(t *testing.T, b *Broker, begun []action, confirmed int) []action {
	got, err := show(b)
	if err != nil {
		t.Errorf("after a power cut: %v", err)
		return nil
	}
	for n := len(begun); n >= confirmed; n-- {
		if replay(begun[:n]).String() == got {
			return begun[:n]
		}
	}
	t.Errorf("after a power cut:\n%s\nwhich is no state from %d confirmed actions:\n%s\n"+
		"to %d begun:\n%s", got, confirmed, replay(begun[:confirmed]), len(begun), replay(begun))
	return nil
}

func texts(history []action) string {
	var s strings.Builder
	for _, a := range history {
		s.WriteString("\n  " + a.text)
	}
	return s.String()
}
