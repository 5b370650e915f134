package budget

// Shrinks is how the limit answers to overloads, the default included; nil when
// it stays as it is.
func (l *Limit) Shrinks() *Shrinking {
	s := l.Adaptive
	if s == nil {
		s = defaultShrinking()
	}
	if s.Off || !l.enforced() {
		return nil
	}
	return s
}

// Paced is how the limit holds back the classes normal and low in a long
// window, the default included; nil when it does not.
func (l *Limit) Paced() *Pace {
	shortest := shortestPace
	p := l.Pace
	if p == nil {
		p, shortest = &Pace{Burst: Portion{Percent: defaultPace}}, longWindow
	}
	if p.Off || !l.enforced() || l.Bucket != nil || l.window() < shortest {
		return nil
	}
	return p
}
