package flow

import (
	"bytes"
	"io/fs"
	"path"
	"time"
)

// single is a file system of one file.
type single struct {
	name string
	data []byte
}

func (s single) Open(name string) (fs.File, error) {
	if name != s.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &singleFile{Reader: bytes.NewReader(s.data), single: s}, nil
}

type singleFile struct {
	*bytes.Reader
	single
}

func (f *singleFile) Stat() (fs.FileInfo, error) { return f.single, nil }
func (f *singleFile) Close() error               { return nil }

func (s single) Name() string     { return path.Base(s.name) }
func (s single) Size() int64      { return int64(len(s.data)) }
func (single) Mode() fs.FileMode  { return 0o444 }
func (single) ModTime() time.Time { return time.Time{} }
func (single) IsDir() bool        { return false }
func (single) Sys() any           { return nil }
