package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed assets style
var assetFiles embed.FS

const (
	assetRoot  = "/assets/"
	styleSheet = "portal.css"
)

// asset is a file for browsers, under a name that changes with its content.
type asset struct {
	data, small []byte // small is data with gzip; nil where that is no gain
	kind        string
}

// assets are the files by their hashed names. Style sheets are one file: those of
// style/ in the order of their names.
type assets struct {
	byPath map[string]*asset
	paths  map[string]string // by plain name
}

func newAssets() (*assets, error) {
	a := &assets{byPath: map[string]*asset{}, paths: map[string]string{}}
	var sheet bytes.Buffer
	for folder, take := range map[string]func(string, []byte) error{
		"assets": a.add,
		"style":  func(_ string, data []byte) error { _, err := sheet.Write(data); return err },
	} {
		entries, err := fs.ReadDir(assetFiles, folder)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			data, err := fs.ReadFile(assetFiles, folder+"/"+e.Name())
			if err == nil {
				err = take(e.Name(), data)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return a, a.add(styleSheet, sheet.Bytes())
}

func (a *assets) add(name string, data []byte) error {
	kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(name)]
	if kind == "" {
		return fmt.Errorf("portal: the type of %s is not known", name)
	}
	sum := sha256.Sum256(data)
	stem := strings.TrimSuffix(name, path.Ext(name))
	at := assetRoot + stem + "." + hex.EncodeToString(sum[:6]) + path.Ext(name)
	x := &asset{data: data, kind: kind}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		return err
	}
	if b.Len() < len(data) {
		x.small = b.Bytes()
	}
	a.byPath[at], a.paths[name] = x, at
	return nil
}

// path is where a file stands; templates that name one that is not there fail.
func (a *assets) path(name string) (string, error) {
	at := a.paths[name]
	if at == "" {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return at, nil
}

// serve answers a file that never changes under its name.
func (a *assets) serve(c echo.Context) error {
	x := a.byPath[c.Request().URL.Path]
	if x == nil {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	return x.write(c)
}

// icon answers browsers that ask for the icon where it always was.
func (a *assets) icon(c echo.Context) error {
	x := a.byPath[a.paths["icon.svg"]]
	c.Response().Header().Set("Cache-Control", "public, max-age=86400")
	return x.write(c)
}

func (x *asset) write(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Vary", "Accept-Encoding")
	data := x.data
	if x.small != nil && strings.Contains(c.Request().Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		data = x.small
	}
	return c.Blob(http.StatusOK, x.kind, data)
}
