package storage

import (
	"context"

	"github.com/tidings-io/tidings/storage/vfs"
)

func (s *Store) Scrub(ctx context.Context) ([]*Damage, error) { panic("sketch") }
func (s *Store) Backup(ctx context.Context, dst vfs.FS) error { panic("sketch") }

func Inspect(fs vfs.FS) (*Report, error)                 { panic("sketch") }
func Repair(fs vfs.FS, o RepairOptions) (*Report, error) { panic("sketch") }

type RepairOptions struct{ AcceptLoss bool }
type Report struct {
	FormatVersion                int
	Logs, Segments, Frames, Keys int
	Bytes                        int64
	Damage                       []*Damage
	Actions                      []string // what Repair did
}
