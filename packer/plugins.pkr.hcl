# For Packer 1.7 and newer only: `packer init` installs the plugins that older releases include.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.3"
    }
  }
}
