package control

// Result is what has come of a try to change the configuration.
type Result struct {
	Source string
	Err    error       // nil: Now is running
	Before *Generation // that was running
	Now    *Generation // that is running; Before if there was an error
}

// OnResult has f called after each try, in the order of the tries. f must neither wait nor call the Manager.
func (m *Manager) OnResult(f func(Result)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results = append(m.results, f)
}

// tell tells of a try. m.mu is held.
func (m *Manager) tell(r Result) {
	for _, f := range m.results {
		f(r)
	}
}
