# Only Packer 1.7 and newer is given this file: `packer init` installs from it what older ones bring along.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.3"
    }
  }
}
