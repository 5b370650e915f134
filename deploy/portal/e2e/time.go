package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// rounds is how often each page is asked for: enough for the 99th of a hundred.
const rounds = 200

// timePages measures what the server takes for each page, with many APIs in the
// catalogue.
func timePages(ctx context.Context, o options) error {
	d, err := prepareDemo(o)
	if err != nil {
		return err
	}
	if err := d.multiply(o.apis); err != nil {
		return err
	}
	if err := d.start(ctx, o.headrace); err != nil {
		return err
	}
	defer d.stop()
	worst, page := time.Duration(0), ""
	for _, path := range []string{"/", "/apis", "/apis?q=order", "/search?q=quantity", "/apis/orders/v1", "/apis/orders/v1/reference", "/products", "/status", "/sign-in"} {
		var all []time.Duration
		size := int64(0)
		for range rounds {
			begun := time.Now()
			resp, err := http.Get(portalURL + path)
			if err != nil {
				return err
			}
			size, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %d", path, resp.StatusCode)
			}
			all = append(all, time.Since(begun))
		}
		slices.Sort(all)
		p99 := all[len(all)*99/100]
		fmt.Printf("  %-28s p50 %6.1f ms  p99 %6.1f ms  %6.1f KB\n", path, ms(all[len(all)/2]), ms(p99), float64(size)/1024)
		if p99 > worst {
			worst, page = p99, path
		}
	}
	fmt.Printf("page-p99-ms %.1f (%s, %d APIs)\n", ms(worst), page, o.apis)
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
