package engines

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// place is where an engine keeps its data and where it listens.
type place struct {
	dir   string
	ports []int
	// servant is the user that its programs run as, nil for that of this process.
	servant *user.User
}

// newPlace is not a directory of the test: a shared engine outlives that, and the servant
// may not look into it.
func newPlace(r recipe) (*place, error) {
	p := &place{}
	var err error
	if p.ports, err = freePorts(r.ports); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "tidings-"+r.name+"-"); err != nil {
		return nil, err
	}
	if r.servant && os.Geteuid() == 0 {
		err = p.giveAway()
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// giveAway gives the place to a user without privileges.
func (p *place) giveAway() (err error) {
	if p.servant, err = user.Lookup("postgres"); err != nil {
		p.servant, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	uid, gid, err := ids(p.servant)
	if err != nil {
		return err
	}
	return os.Chown(p.dir, uid, gid)
}

func ids(u *user.User) (uid, gid int, err error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(err1, err2)
}

func (p *place) remove() error { return os.RemoveAll(p.dir) }

// in is the path of a file of the place.
func (p *place) in(name string) string { return filepath.Join(p.dir, name) }

// addr is host:port of one of its ports.
func (p *place) addr(i int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.ports[i])) }

// command is a program that works in the place, with variables added to those of this process. A killed
// program leaves its temporary files, so they are in the place as well.
func (p *place) command(env []string, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "NO_COLOR=1", "TMPDIR="+p.dir), env...)
	if p.servant != nil {
		runAs(cmd, p.servant)
	}
	return cmd
}

// Ports are taken from those that systems do not give to whoever asks for any: an engine that was
// killed finds its own again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePorts are n different ports of loopback where nobody listens.
func freePorts(n int) (ports []int, err error) {
	var held []net.Listener // until all are found, so that they differ
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range 100 {
		if len(held) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, refused := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if refused != nil {
			err = refused
			continue
		}
		held, ports = append(held, l), append(ports, port)
	}
	return nil, fmt.Errorf("no free port: %w", err)
}
