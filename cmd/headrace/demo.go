package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/headrace/headrace/deploy/demo"
	"github.com/headrace/headrace/gateway/sim"
)

func demoCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the gateway with simulated systems and a seeded workspace, all in one process",
		Long: "Run the gateway, the admin pages, the developer portal and simulators of an ERP, a WMS, a TMS and a CRM in one process,\n" +
			"on a seeded workspace. Everything listens on loopback only. Ctrl-C stops it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder for the workspace; kept, and used again if it is there (default: a temporary one)")
	return cmd
}

func runDemo(ctx context.Context, out io.Writer, dir string) error {
	temporary := dir == ""
	if temporary {
		made, err := os.MkdirTemp("", "headrace-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	if err := unpack(dir); err != nil {
		return err
	}
	// The simulators outlast the gateway, so that calls under way can end.
	simulators, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, simulating := errgroup.WithContext(simulators)
	for _, s := range demo.Systems() {
		if err := simulate(simulating, g, s.Kind, s.Address, sim.Options{}); err != nil {
			return fmt.Errorf("the demo's %s: %w", s.Name, err)
		}
	}
	log, err := os.Create(filepath.Join(dir, ".headrace.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s, err := newServer(ctx, dir, io.MultiWriter(log, notices{out}))
	if err != nil {
		return err
	}
	s.outbox = !s.config.Portal.Sends()
	welcome(out, s, dir, log.Name(), temporary)
	err = s.run(ctx)
	stop()
	fmt.Fprintln(out, "\nstopped")
	return errors.Join(err, g.Wait())
}

// notices shows people what becomes of their edits: the lines of the log that
// tell of the workspace.
type notices struct{ out io.Writer }

func (n notices) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		var l struct {
			Msg, Problem, Revision string
		}
		if !bytes.Contains(line, []byte(`"msg":"the `)) || json.Unmarshal(line, &l) != nil {
			continue
		}
		fmt.Fprintln(n.out, strings.TrimSpace("· "+l.Msg+" "+l.Revision+l.Problem))
	}
	return len(lines), nil
}

// unpack writes the workspace, unless one is there already.
func unpack(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "headrace.yaml")); err == nil {
		return nil
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty and holds no workspace; name an empty folder", dir)
	}
	files, err := demo.Workspace()
	if err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
}

func welcome(out io.Writer, s *server, dir, log string, temporary bool) {
	kept := "edit it, and watch it go live or be refused"
	if temporary {
		kept += "; it is removed at the end, --dir DIR keeps one"
	}
	gateway, admin := s.gatewayListener.Addr(), s.adminListener.Addr()
	fmt.Fprintf(out, `Headrace %s

  gateway    http://%s
  admin      http://%s
  portal     %s
  systems    %s
  workspace  %s
             (%s)
  log        %s
  demo key   %s

Try:

  curl -s -H 'X-Api-Key: %[9]s' 'http://%[2]s/products/v1/products?limit=3'
  curl -s -H 'X-Api-Key: %[9]s' 'http://%[2]s/inventory/v1/stock?sku=SKU-0001'
  curl -s -X PUT -H 'X-Api-Key: %[9]s' -H 'Content-Type: application/json' -d '{"customerId":"200","lines":[{"sku":"SKU-0001","quantity":3}]}' http://%[2]s/orders/v1/orders/WEB-1

Ctrl-C stops it.
`, version(), gateway, admin, s.portalURL(), simulators(), dir, kept, log, demo.Key)
}

func simulators() string {
	var parts []string
	for _, s := range demo.Systems() {
		parts = append(parts, fmt.Sprintf("%s http://%s (%s)", s.Name, s.Address, s.Kind))
	}
	return strings.Join(parts, ", ")
}

// simulate runs a simulator in the group until ctx ends.
func simulate(ctx context.Context, g *errgroup.Group, kind, address string, o sim.Options) error {
	handler, err := sim.New(kind, o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	g.Go(func() error { return ignoreClosed(server.Serve(l)) })
	g.Go(func() error {
		<-ctx.Done()
		handler.Close()
		quick, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(quick); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		server.Close()
		return nil
	})
	return nil
}
