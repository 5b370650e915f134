package sim

import (
	"net/http"
	"net/url"
	"time"
)

// Traffic that does not pass the gateway: the vendor's own pages, other
// integrations. It comes as the caller who called last, so that it is felt.

// flow sends foreign calls, so many a second, until the simulator is closed.
func (s *Server) flow(rate float64) {
	tick := time.NewTicker(seconds(1 / rate))
	defer tick.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-tick.C:
			s.foreignCall()
		}
	}
}

func (s *Server) foreignCall() {
	s.mu.Lock()
	v := s.stranger()
	s.report.Foreign.Sent++
	refused := s.admit(v)
	if refused != nil {
		s.report.Foreign.Refused++
	}
	wait := s.pause()
	s.mu.Unlock()
	if refused != nil {
		return
	}
	s.under.Go(func() {
		if late := s.await(v); late == nil {
			s.rest(v.place.delay + wait)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settle(v, time.Now(), false)
	})
}

// rest sleeps, unless the simulator is closed.
func (s *Server) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.closed:
	case <-timer.C:
	}
}

// stranger is a call like the last one, with nothing in it.
func (s *Server) stranger() *visit {
	v := &visit{foreign: true, at: time.Now(), operation: "foreign", elements: 1, points: s.points, actual: s.points}
	if s.last != nil {
		v.r, v.operation, v.node, v.plan = s.last.r, s.last.operation, s.last.node, s.last.plan
	} else {
		v.r = &http.Request{Method: http.MethodGet, URL: &url.URL{Path: anyPath}, Header: http.Header{}}
	}
	return v
}

// Close ends the foreign traffic. Calls of others are answered on.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.closed) })
	s.under.Wait()
}
