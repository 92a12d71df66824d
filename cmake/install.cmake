# Headers, library, and what find_package(KnetLayers) and pkg-config read.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS knet EXPORT KnetLayersTargets)
install(DIRECTORY knet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
  PATTERN "*.hpp" PATTERN "*.inc"
  PATTERN "kernels" EXCLUDE
  PATTERN "access.hpp" EXCLUDE PATTERN "storage.hpp" EXCLUDE PATTERN "external.hpp" EXCLUDE
  PATTERN "record.hpp" EXCLUDE PATTERN "cell.hpp" EXCLUDE PATTERN "observe.hpp" EXCLUDE
  PATTERN "event_file.hpp" EXCLUDE PATTERN "append_file.hpp" EXCLUDE
  PATTERN "elementwise.hpp" EXCLUDE PATTERN "functor_tensor.hpp" EXCLUDE PATTERN "linear.hpp" EXCLUDE
  PATTERN "product.hpp" EXCLUDE PATTERN "packed.hpp" EXCLUDE PATTERN "views.hpp" EXCLUDE
  PATTERN "plan_*.hpp" EXCLUDE
  PATTERN "text.hpp" EXCLUDE PATTERN "dispatch.hpp" EXCLUDE
  PATTERN "bytes.hpp" EXCLUDE PATTERN "input_file.hpp" EXCLUDE PATTERN "image_codec.hpp" EXCLUDE PATTERN "font.hpp" EXCLUDE PATTERN "transforms_image.hpp" EXCLUDE PATTERN "safetensors_header.hpp" EXCLUDE
  PATTERN "json_file.hpp" EXCLUDE PATTERN "vocabulary_files.hpp" EXCLUDE PATTERN "word_vector_file.hpp" EXCLUDE
  PATTERN "byte_source.hpp" EXCLUDE PATTERN "stored_type.hpp" EXCLUDE PATTERN "tensor_source.hpp" EXCLUDE
  PATTERN "zip.hpp" EXCLUDE PATTERN "npy_header.hpp" EXCLUDE PATTERN "pickle.hpp" EXCLUDE PATTERN "gguf_quants.hpp" EXCLUDE
  PATTERN "published.hpp" EXCLUDE)
install(EXPORT KnetLayersTargets NAMESPACE KnetLayers:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/KnetLayers)
set(KNET_STATIC_DEPENDENCIES "")
if(NOT BUILD_SHARED_LIBS)
  set(KNET_STATIC_DEPENDENCIES "include(CMakeFindDependencyMacro)\nfind_dependency(ZLIB)\nfind_dependency(Threads)")
  if(CURL_FOUND)
    string(APPEND KNET_STATIC_DEPENDENCIES "\nfind_dependency(CURL)")
  endif()
  if(PNG_FOUND)
    string(APPEND KNET_STATIC_DEPENDENCIES "\nfind_dependency(PNG)")
  endif()
  if(JPEG_FOUND)
    string(APPEND KNET_STATIC_DEPENDENCIES "\nfind_dependency(JPEG)")
  endif()
endif()
configure_package_config_file(cmake/KnetLayersConfig.cmake.in KnetLayersConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/KnetLayers)
write_basic_package_version_file(KnetLayersConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH KNET_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
set(KNET_PC_PRIVATE "-lz -lhwy -lutf8proc -pthread")
if(CURL_FOUND)
  string(APPEND KNET_PC_PRIVATE " -lcurl")
endif()
if(PNG_FOUND)
  string(APPEND KNET_PC_PRIVATE " -lpng")
endif()
if(JPEG_FOUND)
  string(APPEND KNET_PC_PRIVATE " -ljpeg")
endif()
configure_file(cmake/knet.pc.in knet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/KnetLayersConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/KnetLayersConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/KnetLayers)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/knet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
