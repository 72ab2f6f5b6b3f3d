  # For Packer 1.7 and newer, inserted into dask.pkr.hcl: 1.6 knows none of these.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  imds_support = "v2.0"
  deprecate_at = var.deprecate_at
