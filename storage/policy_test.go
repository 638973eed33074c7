package storage

import (
	"testing"
)

// TestLazySyncKeepsAConsistentPrefix runs the crash simulation with the policies
// that sync late: kill -9 loses nothing, a power cut loses only the newest
// batches, and what is left is a state that there once was.
func TestLazySyncKeepsAConsistentPrefix(t *testing.T) {
	for _, policy := range []SyncPolicy{SyncInterval, SyncNever} {
		t.Run(policy.String(), func(t *testing.T) {
			t.Parallel()
			lazy := func(seed uint64) *sim {
				s := plainSim(seed)
				s.cfg.Sync = policy
				return s
			}
			if seed, err := runSeeds(*simFrom, *simSeeds/3, lazy); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		})
	}
}
