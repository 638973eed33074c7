// Package watermill has services of Watermill and of the library on one broker, and the code of
// docs/migrating-from-watermill.md.
package watermill
