package broker

import (
	"cmp"
	"context"
	"crypto/md5"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// User is somebody who may use the broker. What tags mean is for the protocol faces.
type User struct {
	Name string
	Tags []string
	// PasswordHash is four bytes of salt, and the hash of these and the password. Where it
	// is empty no password is right: such a user proves who he is by other means.
	PasswordHash []byte
	Hash         HashAlgorithm
}

// HashAlgorithm is how a password was hashed. The numbers are on disk.
type HashAlgorithm uint8

// The algorithms. HashPassword uses SHA256; the others are of users that were taken over
// from elsewhere.
const (
	SHA256 HashAlgorithm = iota
	SHA512
	MD5
)

var hashes = map[HashAlgorithm]func() hash.Hash{
	SHA256: sha256.New, SHA512: sha512.New, MD5: md5.New,
}

const saltBytes = 4

// HashPassword makes a PasswordHash for SHA256, with a salt of its own.
func HashPassword(password string) []byte {
	var salt [saltBytes]byte
	crand.Read(salt[:]) // never fails: crypto/rand ends the program instead
	return SHA256.salted(salt[:], password)
}

func (a HashAlgorithm) salted(salt []byte, password string) []byte {
	h := hashes[a]()
	h.Write(salt)
	h.Write([]byte(password))
	return h.Sum(slices.Clone(salt))
}

// user is one that is there. The catalog's mutex guards it.
type user struct {
	User
	gone chan struct{} // closed when it is deleted
}

func (u *User) clone() User {
	return User{u.Name, slices.Clone(u.Tags), slices.Clone(u.PasswordHash), u.Hash}
}

// encode writes the user's value, as docs/format-broker.md shows it.
func (u *User) encode() []byte {
	v := appendStrings([]byte{valueVersion, byte(u.Hash)}, u.Tags)
	return appendString(v, string(u.PasswordHash))
}

func userKey(name string) []byte { return appendString([]byte{familyUser}, name) }

// seededKey is there once a user has been: it keeps SeedUser from making one again.
var seededKey = []byte{familyUser}

// PutUser makes a user, or replaces the one of that name, whose permissions stay; created
// tells which. It is on disk on return. Kinds: Invalid, TooLarge, Full, Closed, Storage.
func (b *Broker) PutUser(ctx context.Context, u User) (created bool, err error) {
	const op = "put user"
	if err := b.checkUser(op, &u); err != nil {
		return false, err
	}
	if err := b.admit(ctx, len(u.Name)); err != nil {
		return false, storeError(op, u.Name, err)
	}
	b.cat.mu.Lock()
	created, seq, err := b.putUserLocked(op, u, nil)
	b.cat.mu.Unlock()
	if err != nil {
		return false, err
	}
	return created, b.settle(ctx, op, u.Name, seq)
}

// SeedUser makes the first user, with a permission, in a data directory that has never had
// one; in any other it does nothing. So one that is deleted stays deleted. Kinds: Invalid,
// TooLarge, NotFound (the namespace), Full, Closed, Storage.
func (b *Broker) SeedUser(ctx context.Context, u User, p Permission) error {
	const op = "seed user"
	b.cat.mu.RLock()
	seeded := b.cat.seeded
	b.cat.mu.RUnlock()
	if seeded {
		return nil
	}
	if p.User != u.Name {
		return fail(Invalid, op, u.Name, "the permission is of user %q", p.User)
	}
	if err := errors.Join(b.checkUser(op, &u), b.checkPermission(op, &p)); err != nil {
		return err
	}
	if err := b.admit(ctx, len(u.Name)); err != nil {
		return storeError(op, u.Name, err)
	}
	seq, err := b.seedUser(op, u, p)
	if err != nil {
		return err
	}
	return b.settle(ctx, op, u.Name, seq)
}

func (b *Broker) seedUser(op string, u User, p Permission) (storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	if b.cat.seeded {
		return b.store.Durable(), nil
	}
	if _, err := b.cat.namespace(op, p.Namespace); err != nil {
		return 0, err
	}
	_, seq, err := b.putUserLocked(op, u, &p)
	return seq, err
}

func (b *Broker) checkUser(op string, u *User) error {
	return b.checkNotes(op, u.Name, errors.Join(checkGroupName(u.Name), u.checkHash()), u.Tags)
}

func (u *User) checkHash() error {
	h := hashes[u.Hash]
	if h == nil {
		return errors.New("unknown hash algorithm")
	}
	if n, want := len(u.PasswordHash), saltBytes+h().Size(); n != 0 && n != want {
		return fmt.Errorf("the password hash has %d bytes, want %d", n, want)
	}
	return nil
}

// putUserLocked writes a user, and in the same batch the permission of a first one.
func (b *Broker) putUserLocked(op string, u User, first *Permission) (bool, storage.Seq, error) {
	old := b.cat.users[u.Name]
	n, limit := len(b.cat.users), b.config.Limits.Users
	if old == nil && n >= limit {
		return false, 0, fail(Full, op, u.Name, "%d users exist, the limit is %d", n, limit)
	}
	now := &user{User: u.clone(), gone: make(chan struct{})}
	if old != nil {
		now.gone = old.gone
	}
	var batch storage.Batch
	batch.Put(userKey(u.Name), now.encode())
	if first != nil {
		batch.Put(first.key().permission(), first.encode())
	}
	if !b.cat.seeded {
		batch.Put(seededKey, []byte{valueVersion})
	}
	seq, err := b.store.Submit(&batch)
	if err != nil {
		return false, 0, storeError(op, u.Name, err)
	}
	b.cat.users[u.Name], b.cat.seeded = now, true
	if first != nil {
		b.cat.permissions[first.key()] = *first
	}
	b.access.Add(1)
	return old == nil, seq, nil
}

// User finds a user. Kind: NotFound.
func (b *Broker) User(name string) (User, error) {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	if u := b.cat.users[name]; u != nil {
		return u.clone(), nil
	}
	return User{}, &Error{Kind: NotFound, Op: "find user", Name: name}
}

// Users returns the users by name.
func (b *Broker) Users() []User {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	all := make([]User, 0, len(b.cat.users))
	for _, u := range b.cat.users {
		all = append(all, u.clone())
	}
	slices.SortFunc(all, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// UserGone is closed when the user who has this name now is deleted; nil: there is none.
func (b *Broker) UserGone(name string) <-chan struct{} {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	if u := b.cat.users[name]; u != nil {
		return u.gone
	}
	return nil
}

// nobody is whose password is checked where there is no such user, so that the time it
// takes does not tell who exists.
var nobody = User{PasswordHash: make([]byte, saltBytes+sha256.Size)}

// Login returns the user who has this name and this password; false: there is none. An
// empty password is never right.
func (b *Broker) Login(name, password string) (User, bool) {
	u, err := b.User(name)
	known := err == nil && len(u.PasswordHash) > 0
	if !known {
		u = nobody
	}
	sum := u.Hash.salted(u.PasswordHash[:saltBytes], password)
	right := subtle.ConstantTimeCompare(sum, u.PasswordHash) == 1
	if !known || !right || password == "" {
		return User{}, false
	}
	return u, true
}

// DeleteUser deletes a user with all permissions, durably on return. Kinds: NotFound,
// Closed, Storage.
func (b *Broker) DeleteUser(ctx context.Context, name string) error {
	const op = "delete user"
	seq, err := b.removeUser(op, name)
	if err != nil {
		return err
	}
	return b.settle(ctx, op, name, seq)
}

// removeUser deletes the user before the permissions: those that a crash leaves behind
// belong to nobody, and are deleted by the next Open.
func (b *Broker) removeUser(op, name string) (storage.Seq, error) {
	b.cat.mu.Lock()
	defer b.cat.mu.Unlock()
	u := b.cat.users[name]
	if u == nil {
		return 0, &Error{Kind: NotFound, Op: op, Name: name}
	}
	if err := b.usable(); err != nil {
		return 0, storeError(op, name, err)
	}
	r := removal{store: b.store}
	r.delete(userKey(name))
	b.cat.clearRightsLocked(&r, func(k rightKey) bool { return k.user == name })
	seq, err := r.submit()
	if err != nil {
		return 0, storeError(op, name, err)
	}
	delete(b.cat.users, name)
	b.access.Add(1)
	close(u.gone)
	b.cat.departLocked()
	return seq, nil
}

func (b *Broker) loadUsers(*removal) error {
	for key, value := range b.store.Scan([]byte{familyUser}) {
		b.cat.seeded = true
		k, d := decoder{b: key[1:]}, newDecoder(value)
		if len(k.b) == 0 {
			continue // seededKey
		}
		u := &user{gone: make(chan struct{})}
		u.Name = k.string()
		u.Hash, u.Tags, u.PasswordHash = HashAlgorithm(d.byte()), d.strings(), d.bytes()
		if err := errors.Join(k.end("user key"), d.end("user")); err != nil {
			return err
		}
		if err := u.checkHash(); err != nil {
			return fmt.Errorf("user %s: %w: %w", u.Name, err, storage.ErrDamaged)
		}
		b.cat.users[u.Name] = u
	}
	return nil
}
