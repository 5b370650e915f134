// Command e2e walks through the developer portal of a running demo with a real
// Chromium: from the sign-up to a corrected write. It looks at every page in both
// themes and two widths: axe must find nothing serious, and a picture is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.headrace, "headrace", "bin/headrace", "the program")
	flag.StringVar(&o.workspace, "workspace", "deploy/demo/workspace", "what the demo runs on")
	flag.StringVar(&o.axe, "axe", "out/axe/node_modules/axe-core/axe.min.js", "axe-core")
	flag.StringVar(&o.shots, "shots", "out/portal", "where pictures go; none when empty")
	flag.IntVar(&o.apis, "apis", 500, "how many APIs the catalogue has when pages are timed; 0 times none")
	flag.StringVar(&o.only, "only", "", "look only at the pages whose names hold this; at all when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "e2e-portal:", err)
		os.Exit(1)
	}
}

type options struct {
	headrace, workspace, axe, shots, only string
	apis                                  int
}

func run(ctx context.Context, o options) error {
	axe, err := os.ReadFile(o.axe)
	if err != nil {
		return err
	}
	d, err := startDemo(ctx, o)
	if err != nil {
		return err
	}
	defer d.stop()
	b, err := openBrowser(ctx, string(axe), o.shots, o.only)
	if err != nil {
		return err
	}
	defer b.close()
	walkErr := walk(ctx, d, b)
	fmt.Printf("signup-to-first-200-seconds %.1f\nsignup-to-first-200-clicks %d\naxe-serious %d\npage-weight-kb %.1f (%s)\n",
		b.firstCall.Seconds(), b.firstClicks, len(b.findings), float64(b.heaviest)/1024, b.heaviestPage)
	for _, f := range b.findings {
		fmt.Println("  axe:", f)
	}
	for _, f := range b.wide {
		fmt.Println("  wider than the screen:", f)
	}
	if o.shots != "" {
		fmt.Printf("%d pictures of %d pages in %s\n", b.pictures, len(b.pages), o.shots)
	}
	if err := errors.Join(walkErr, b.verdict()); err != nil || o.apis == 0 {
		return err
	}
	return timePages(ctx, o)
}

func (b *browser) verdict() error {
	var all []error
	if n := len(b.findings); n > 0 {
		all = append(all, fmt.Errorf("axe has %d serious or critical findings", n))
	}
	if n := len(b.wide); n > 0 {
		all = append(all, fmt.Errorf("%d pages are wider than the screen: %s", n, strings.Join(b.wide, ", ")))
	}
	if b.heaviest > 100<<10 {
		all = append(all, fmt.Errorf("%s weighs %d bytes", b.heaviestPage, b.heaviest))
	}
	return errors.Join(all...)
}
