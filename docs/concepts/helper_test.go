// Package concepts_test is the code of the pages in this directory: each page shows what stands
// between // page { and // page } in the file of its name, see docs_test.go in the directory above.
package concepts_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	store "github.com/tidings-io/tidings/store/embedded"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/transport/embedded"
)

// memory is a broker inside the program, whose disk is in memory, as a transport and as a store. With
// a directory and without FS it is on a real disk.
func memory() (t *embedded.Transport, st *store.Store, end func()) {
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	check(err)
	t = embedded.New(b, embedded.Config{})
	st, err = store.Open(context.Background(), b, store.Config{Publisher: t})
	check(err)
	return t, st, func() {
		check(t.Close(context.Background()))
		check(b.Close())
	}
}

// running runs services until stop, which waits for their end.
func running(services ...*tidings.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, len(services))
	for _, s := range services {
		go func() { ended <- s.Run(ctx) }()
		<-s.Ready()
	}
	return func() {
		cancel()
		for range services {
			check(<-ended)
		}
	}
}

// database is a SQLite database with the tables of the patterns and one of the user.
func database(create string) (db *sql.DB, st *sqlstore.Store, end func()) {
	dir, err := os.MkdirTemp("", "concepts")
	check(err)
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	check(err)
	st, err = sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	check(err)
	check(st.Migrate(context.Background()))
	_, err = db.Exec(create)
	check(err)
	return db, st, func() {
		check(db.Close())
		check(os.RemoveAll(dir))
	}
}

// count is the number of rows of a table.
func count(db *sql.DB, table string) (n int) {
	check(db.QueryRow(fmt.Sprintf("select count(*) from %s", table)).Scan(&n))
	return n
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// quiet is for services whose failures are wanted.
func quiet() tidings.Option { return tidings.WithLogger(slog.New(slog.DiscardHandler)) }
