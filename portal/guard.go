package portal

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Guesses of passwords and codes are counted by where they come from, and by the
// account that is meant: a network that tries many accounts is as slow as many
// networks that try one.
func (c *call) guessKeys(about string) []string {
	return []string{"from " + c.from(), "about " + strings.ToLower(about)}
}

// from is where the visitor is: an IPv4 address, or the /64 of an IPv6 address,
// because one caller has all of it.
func (c *call) from() string {
	a, err := netip.ParseAddr(c.RealIP())
	if err != nil {
		return c.RealIP()
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	return a.String()
}

// free refuses a guess for a while after too many wrong ones, without looking at it.
func (p *Portal) free(c *call, about string) error {
	if err := p.paced(c, "guesses "+c.from(), mostGuesses); err != nil {
		return err
	}
	now := time.Now()
	for _, key := range c.guessKeys(about) {
		if left := p.guard.Blocked(key, now); left > 0 {
			seconds := int(left/time.Second) + 1
			c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
			return c.fail(http.StatusTooManyRequests, fmt.Sprintf("there were too many wrong attempts; try again in %s", count(seconds, "second")))
		}
	}
	return nil
}

// wrong counts a wrong guess.
func (p *Portal) wrong(c *call, about string) {
	for _, key := range c.guessKeys(about) {
		p.guard.Wrong(key, time.Now())
	}
	p.options.Log.Warn("a log-in to the portal was refused", "address", c.RealIP(), "request_id", requestID(c))
}

// right forgets the wrong guesses about an account. Those of the address stay:
// whoever has one account could otherwise guess at others without end.
func (p *Portal) right(about string) { p.guard.Right("about " + strings.ToLower(about)) }

// spend counts something that costs others, such as a mail to an address: a few are
// free, more are refused for a while.
func (p *Portal) spend(c *call, about string) error {
	for _, key := range []string{"mails from " + c.from(), "mails to " + strings.ToLower(about)} {
		if left := p.guard.Blocked(key, time.Now()); left > 0 {
			seconds := int(left/time.Second) + 1
			c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
			return c.fail(http.StatusTooManyRequests, fmt.Sprintf("there were too many requests; try again in %s", count(seconds, "second")))
		}
	}
	p.guard.Wrong("mails from "+c.from(), time.Now())
	p.guard.Wrong("mails to "+strings.ToLower(about), time.Now())
	return nil
}
