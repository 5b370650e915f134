package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/gateway/registry"
)

// versionLine is what commands print of a version.
type versionLine struct {
	registry.Item[registry.Version]
	Origin string `json:"origin"`
	Served bool   `json:"served"`
}

func (v *versionLine) served() string {
	if v.Served {
		return "yes"
	}
	return "no"
}

func (v *versionLine) sunset() string {
	if v.Body.Deprecation == nil || v.Body.Deprecation.Sunset == nil {
		return ""
	}
	return v.Body.Deprecation.Sunset.UTC().Format(time.RFC3339)
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func listCommand() *cobra.Command {
	r := &remote{}
	return r.command(&cobra.Command{
		Use:     "list",
		Short:   "List the APIs that a running gateway serves",
		Example: "  headrace list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.get(cmd.Context(), "apis")
			if err != nil || r.json {
				return cmp.Or(err, r.jsonOf(a))
			}
			var page struct {
				Items []struct {
					Name, Version, Major, Status, Origin, Title string
					Operations                                  int
				}
			}
			if err := a.decode(&page); err != nil {
				return err
			}
			var rows [][]string
			for _, i := range page.Items {
				rows = append(rows, []string{i.Name, i.Major, i.Version, i.Status, i.Origin, strconv.Itoa(i.Operations), i.Title})
			}
			return r.table([]string{"API", "MAJOR", "VERSION", "STATUS", "ORIGIN", "OPERATIONS", "TITLE"}, rows)
		},
	})
}

func showCommand() *cobra.Command {
	r := &remote{}
	return r.command(&cobra.Command{
		Use:     "show API [VERSION]",
		Short:   "Show the versions of an API, or one of them",
		Example: "  headrace show orders\n  headrace show orders 1.1.0",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return r.showAPI(cmd.Context(), args[0])
			}
			return r.showVersion(cmd.Context(), args[0], args[1])
		},
	})
}

func (r *remote) showAPI(ctx context.Context, api string) error {
	a, err := r.get(ctx, "apis/"+url.PathEscape(api))
	if err != nil || r.json {
		return cmp.Or(err, r.jsonOf(a))
	}
	var page struct{ Items []versionLine }
	if err := a.decode(&page); err != nil {
		return err
	}
	var rows [][]string
	for _, v := range page.Items {
		rows = append(rows, []string{v.Body.Version, v.Body.Status, v.served(), v.Origin, when(v.Body.Published), v.sunset()})
	}
	return r.table([]string{"VERSION", "STATUS", "SERVED", "ORIGIN", "PUBLISHED", "SUNSET"}, rows)
}

func (r *remote) showVersion(ctx context.Context, api, version string) error {
	a, err := r.get(ctx, versionPath(api, version))
	if err != nil || r.json {
		return cmp.Or(err, r.jsonOf(a))
	}
	var v versionLine
	if err := a.decode(&v); err != nil {
		return err
	}
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(r.out, "%-11s %s\n", name, value)
		}
	}
	line("version", v.Name)
	line("status", v.Body.Status)
	line("served", v.served())
	line("origin", v.Origin)
	line("content", v.Body.Hash)
	line("published", when(v.Body.Published))
	if d := v.Body.Deprecation; d != nil {
		line("deprecated", d.Since.UTC().Format(time.RFC3339))
		line("sunset", v.sunset())
		line("successor", d.Successor)
		line("link", d.Link)
	}
	line("retired", when(v.Body.Retired))
	line("files", strings.Join(slices.Sorted(maps.Keys(v.Body.Files)), " "))
	for _, e := range v.Body.Exceptions {
		line("exception", fmt.Sprintf("%s: %s; %s (%s)", e.Change, e.Text, e.Reason, e.By))
	}
	return nil
}

func exportCommand() *cobra.Command {
	r := &remote{}
	return r.command(&cobra.Command{
		Use:     "export API VERSION DIR",
		Short:   "Write the files of a version into a new folder",
		Example: "  headrace export orders 1.1.0 apis/orders/1.1.0",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.export(cmd.Context(), args[0], args[1], args[2])
		},
	})
}

func (r *remote) export(ctx context.Context, api, version, dir string) error {
	a, err := r.get(ctx, versionPath(api, version)+"/export")
	if err != nil {
		return err
	}
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	written := 0
	for archive := tar.NewReader(bytes.NewReader(a.data)); ; written++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the admin API's answer cannot be read: %w", err)
		}
		if err := extract(root, h.Name, archive); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(r.out, "files written to %s: %d\n", dir, written)
	return err
}

// extract writes a file of an archive; root keeps it inside.
func extract(root *os.Root, name string, content io.Reader) error {
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	name = filepath.FromSlash(name)
	return errors.Join(root.MkdirAll(filepath.Dir(name), 0o755), root.WriteFile(name, text, 0o644))
}
