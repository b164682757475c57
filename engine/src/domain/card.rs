//! What may be known and kept of a card: brand, last four, masked number, EMV receipt tags.
