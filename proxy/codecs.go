package proxy

import (
	"context"

	masterkeys "riptide-proxy/value/keys"
)

// makeValues makes the codecs of the tenants whose values are sealed.
func (s *Server) makeValues(ctx context.Context) error {
	masters, err := masterkeys.Load(ctx, s.cfg.EncryptionKeys)
	if err != nil {
		return err
	}
	s.values = make(map[string]*tenantValues)
	for _, t := range s.directory.Tenants() {
		codec, err := masterkeys.Codec(s.cfg, t.ID, masters)
		if err != nil {
			return err
		}
		if codec != nil {
			s.values[t.ID] = newTenantValues(codec)
		}
	}
	return nil
}
