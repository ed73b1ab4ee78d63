"""Who is who, and who may do what: certificates, TLS, tokens, passwords, bundles, policy."""
