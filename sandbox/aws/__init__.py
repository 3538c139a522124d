"""An AWS endpoint on loopback: moto's server, corrected where the real CloudWatch and Auto Scaling answer otherwise."""
