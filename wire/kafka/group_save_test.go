package kafka

import (
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// secondGeneration makes a group of two and has both join once more.
func secondGeneration(b *bench) (leader, follower *consumer) {
	leader, follower = b.consumer(), b.consumer()
	b.stable(leader, follower)
	first, second := leader.join(), follower.join()
	same(b, "leader's join", leader.joined(first), errNone)
	same(b, "follower's join", follower.joined(second), errNone)
	return leader, follower
}

func TestNoSyncIsAnsweredBeforeItsGenerationIsSaved(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		leader, follower := secondGeneration(b)
		proceed := b.engine.close()
		first := leader.sync()
		synctest.Wait() // the save is on its way into the engine
		second := follower.sync()
		for _, d := range []*deferred{first, second} {
			if d.ready() {
				b.Error("got an answer that is not even handed to the engine, want none")
			}
		}
		proceed()
		same(b, "leader", leader.synced(first), errNone)
		same(b, "follower", follower.synced(second), errNone)
		stored, err := b.broker.Group("", "g")
		if err != nil {
			b.Fatal(err)
		}
		var saved kmsg.GroupMetadataValue
		if err := saved.ReadFrom(stored.State()); err != nil {
			b.Fatal(err)
		}
		same(b, "saved generation", saved.Generation, follower.generation)
	})
}
