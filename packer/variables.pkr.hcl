# Every input of the template. `dask-bake bake` gives them in a file; none of them is a secret.

variable "region" {
  type        = string
  description = "The region to bake in."
}

variable "endpoint" {
  type        = string
  default     = ""
  description = "The EC2 to bake in, where it is not Amazon's: an URL."
}

variable "base_image" {
  type        = string
  description = "The id of the image to start from: a Debian with cloud-init."
}

variable "image_name" {
  type        = string
  description = "The name of the image; it carries the digest of the recipe."
}

variable "image_tags" {
  type        = map(string)
  description = "The tags of the image and of its snapshot."
}

variable "run_tags" {
  type        = map(string)
  description = "The tags of the instance that the image is baked on, and of its volume: by them it is found again."
}

variable "security_group_id" {
  type        = string
  description = "The group of the instance: it lets in port 22, from where the image is baked alone."
}

variable "user_data_file" {
  type        = string
  description = "A file with the instance's user-data: it gives the public half of the key."
}

variable "ssh_private_key_file" {
  type        = string
  description = "The file of the key that opens the instance, and nothing else."
}

variable "kms_key_id" {
  type        = string
  default     = ""
  description = "The key that encrypts the volume and the snapshot; the account's default one where it is empty."
}

variable "script_timeout" {
  type        = string
  default     = "30m"
  description = "How long each of these may take: the wait for the boot, the upload, all scripts together."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "The subnet to bake in; the region's default where it is empty."
}

variable "associate_public_ip_address" {
  type        = bool
  default     = null
  description = "Whether the instance has a public address; the subnet decides where it is null."
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

variable "ssh_username" {
  type        = string
  default     = "admin"
  description = "The user of the base image, who has sudo."
}

variable "ssh_interface" {
  type        = string
  default     = ""
  description = "The address to dial: public_ip or private_ip; empty takes the public one where there is one."
}

variable "ssh_timeout" {
  type        = string
  default     = "5m"
  description = "How long the instance may take until it answers."
}

variable "polling_seconds" {
  type        = number
  default     = 1
  description = "How often EC2 is asked whether it is done."
}

variable "polling_attempts" {
  type        = number
  default     = 3600
  description = "How many times EC2 is asked before it is given up on."
}

variable "payload" {
  type        = string
  default     = "/var/tmp/dask-bake"
  description = "Where the payload is put on the instance; the scripts are told as DASK_BAKE_PAYLOAD."
}

variable "room_megabytes" {
  type        = number
  description = "What must be free on the instance's disk, in MB, before anything is uploaded."
  default     = 2000
}
