"""Episodes: parts of storms that drive a gateway alone, without bytes, against facts that they keep themselves."""
