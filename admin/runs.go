package admin

// runs lets the flows answer, and tells them who asks.
func (a *admin) runs(k *call) error {
	a.options.Runs(k.by()).ServeHTTP(k.Response(), k.Request())
	return nil
}
