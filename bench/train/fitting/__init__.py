"""train/fitting"""
