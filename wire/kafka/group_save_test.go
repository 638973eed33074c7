package kafka

import (
	"testing"
	"testing/synctest"
	"time"

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
		defer proceed()
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

func TestSessionBeginsWhenTheSyncIsAnswered(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		leader, follower := secondGeneration(b)
		gone := b.consumer(func(c *consumer) { c.group = "gone" })
		same(b, "join", gone.joined(gone.join()), errNone)
		restart := b.disk.close()
		defer restart()
		syncs := []*deferred{leader.sync(), follower.sync()}
		gone.sync()                  // its connection breaks: nobody sends the answer
		time.Sleep(39 * time.Second) // nearly four sessions
		same(b, "state", b.state("g"), "Stable")
		restart()
		same(b, "leader", leader.synced(syncs[0]), errNone)
		same(b, "follower", follower.synced(syncs[1]), errNone)
		for range 3 {
			time.Sleep(9 * time.Second)
			same(b, "leader", leader.beat(), errNone)
			same(b, "follower", follower.beat(), errNone)
		}
		same(b, "group of nobody", b.state("gone"), "Empty")
	})
}
