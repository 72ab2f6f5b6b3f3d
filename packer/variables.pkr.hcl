# The template's inputs. `dask-bake bake` writes them to a file; none is a secret.

variable "region" {
  type        = string
  description = "The region to bake in."
}

variable "endpoint" {
  type        = string
  default     = ""
  description = "The URL of another EC2 endpoint than Amazon's."
}

variable "base_image" {
  type        = string
  description = "The AMI to start from: a Debian with cloud-init."
}

variable "image_name" {
  type        = string
  description = "The name of the AMI, with the digest of the recipe."
}

variable "image_tags" {
  type        = map(string)
  description = "The tags of the AMI and of its snapshot."
}

variable "run_tags" {
  type        = map(string)
  description = "The tags of the instance that the image is baked on, and of its volume, by which they are found."
}

variable "security_group_id" {
  type        = string
  description = "The security group of the instance: it admits SSH from the machine that bakes."
}

variable "user_data_file" {
  type        = string
  description = "The file of the instance's user-data, with the public key."
}

variable "ssh_private_key_file" {
  type        = string
  description = "The file of the private key, which is used for this instance only."
}

variable "kms_key_id" {
  type        = string
  default     = ""
  description = "The KMS key that encrypts the volume and the snapshot; empty is the account's default key."
}

variable "script_timeout" {
  type        = string
  default     = "30m"
  description = "The time-out of each step: waiting for the boot, the upload, all scripts together."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "The subnet to bake in; empty is the region's default subnet."
}

variable "associate_public_ip_address" {
  type        = bool
  default     = null
  description = "Whether the instance has a public address; null is the subnet's default."
}

variable "instance_type" {
  type        = string
  default     = "m5.large"
  description = "The type of the instance that the image is baked on."
}

variable "volume_size" {
  type        = number
  default     = 10
  description = "The size of the image's root volume in GiB."
}

variable "root_device" {
  type        = string
  default     = "/dev/xvda"
  description = "The name of the base image's root device."
}

variable "deprecate_at" {
  type        = string
  default     = ""
  description = "The time (RFC 3339, UTC) at which EC2 marks the image as deprecated, for Packer 1.7 and newer; empty is never."
}

variable "ssh_username" {
  type        = string
  default     = "admin"
  description = "The base image's user, who has sudo."
}

variable "ssh_interface" {
  type        = string
  default     = ""
  description = "The address to connect to: public_ip or private_ip; empty is the public one if there is one."
}

variable "ssh_timeout" {
  type        = string
  default     = "5m"
  description = "The time-out for the first SSH connection."
}

variable "polling_seconds" {
  type        = number
  default     = 1
  description = "The seconds between two requests for the state of an EC2 operation."
}

variable "polling_attempts" {
  type        = number
  default     = 3600
  description = "The number of requests after which an EC2 operation has failed."
}

variable "payload" {
  type        = string
  default     = "/var/tmp/dask-bake"
  description = "The folder of the payload on the instance; scripts find it in DASK_BAKE_PAYLOAD."
}

variable "free_megabytes" {
  type        = number
  description = "The free disk space in MB that the instance must have before the upload."
  default     = 2000
}
